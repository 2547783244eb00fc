import { createRoot } from 'react-dom/client';
import { RealTimeMessage } from './RealTimeMessage.jsx';

createRoot(document.getElementById('root')).render(<RealTimeMessage />);
